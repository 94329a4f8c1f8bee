"""How fast a data loader is, and what slows it down."""
