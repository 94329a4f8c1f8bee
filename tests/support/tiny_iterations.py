"""The tiny training as one that counts iterations: lines for the end of its config."""

# 8 steps on passes of 3 over the data, with a checkpoint every 2 and a validation every 4 steps.
ITERATIONS = """
train_cfg = dict(by_epoch=False, max_iters=8, val_interval=4)
param_scheduler = dict(type='PlainOneCycleLR', total_steps=8, pct_start=0.3, by_epoch=False)
default_hooks['checkpoint'].update(by_epoch=False, interval=2)
log_processor = dict(by_epoch=False)
"""
