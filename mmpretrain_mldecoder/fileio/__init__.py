"""Files and terminals: nothing here knows images or models."""
