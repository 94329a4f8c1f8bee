"""Many images: into a folder, by several processes, on after a kill."""
