"""Pictures: training curves and contact sheets."""
