"""Files and terminals; knows neither images nor models."""
