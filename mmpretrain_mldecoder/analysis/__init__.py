"""What people look at: browse, report, loader speed, result tables, web demo."""
