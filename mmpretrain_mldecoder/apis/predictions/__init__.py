"""Many pictures: into a folder, by several processes, on after a kill."""
