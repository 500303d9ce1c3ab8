"""The pictures of a training: read, decoded, prepared, encoded and fed."""
