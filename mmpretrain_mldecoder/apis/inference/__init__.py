"""One image or a batch of them: from what the user points at to labels and scores."""
