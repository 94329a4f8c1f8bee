"""From labelled images to a tuned, explained, exported model: what ``mldecoder start`` does."""
