"""Web demo: a page that predicts uploaded images."""
