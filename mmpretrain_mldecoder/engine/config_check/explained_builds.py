"""Say which key of the config an error of building is about."""

from mmengine.evaluator import Evaluator
from mmengine.runner import BaseLoop

from .config_mistake import explained
from .loop_parts import check_loop_parts
from .type_names import check_annotation_files, check_type_names


class ExplainedBuilds:
    """Mixin over ``Runner``: what it builds from a config raises :class:`ConfigMistake`.

    All names of types are looked up before the first part is built, so that a wrong name in the
    metric does not wait until the data is read; see :func:`check_type_names`. Annotation files are
    looked up when a run begins, for what it reads: a training needs no test data.
    """

    @classmethod
    def from_cfg(cls, cfg):
        check_loop_parts(cfg)
        return super().from_cfg(cfg)

    def setup_env(self, env_cfg: dict) -> None:
        with explained(self.cfg, 'env_cfg'):
            super().setup_env(env_cfg)

    def build_log_processor(self, log_processor):
        with explained(self.cfg, 'log_processor'):
            return super().build_log_processor(log_processor)

    def build_visualizer(self, visualizer=None):
        with explained(self.cfg, 'visualizer'):
            return super().build_visualizer(visualizer)

    def set_randomness(self, *args, **kwargs) -> None:
        with explained(self.cfg, 'randomness'):
            super().set_randomness(*args, **kwargs)

    def build_model(self, model):
        check_type_names(self.cfg)
        with explained(self.cfg, 'model', 'data_preprocessor'):
            return super().build_model(model)

    def register_hooks(self, default_hooks=None, custom_hooks=None) -> None:
        with explained(self.cfg, 'default_hooks', 'custom_hooks'):
            super().register_hooks(default_hooks, custom_hooks)

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        with explained(self.cfg, 'train_dataloader', 'train_cfg'):
            return super().build_train_loop(loop)

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        with explained(self.cfg, 'val_dataloader', 'val_cfg'):
            return super().build_val_loop(loop)

    def build_test_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        with explained(self.cfg, 'test_dataloader', 'test_cfg'):
            return super().build_test_loop(loop)

    def build_evaluator(self, evaluator) -> Evaluator:
        with explained(self.cfg, 'val_evaluator', 'test_evaluator'):
            return super().build_evaluator(evaluator)

    def build_optim_wrapper(self, optim_wrapper):
        with explained(self.cfg, 'optim_wrapper'):
            return super().build_optim_wrapper(optim_wrapper)

    def build_param_scheduler(self, scheduler):
        with explained(self.cfg, 'param_scheduler'):
            return super().build_param_scheduler(scheduler)

    def _init_model_weights(self) -> None:
        with explained(self.cfg, 'model'):
            super()._init_model_weights()

    def load_or_resume(self) -> None:
        with explained(self.cfg, 'load_from'):
            super().load_or_resume()

    def train(self):
        check_annotation_files(self.cfg, 'train', 'val')
        return super().train()

    def val(self):
        check_annotation_files(self.cfg, 'val')
        return super().val()

    def test(self):
        check_annotation_files(self.cfg, 'test')
        return super().test()
