"""The eye: pictures to embeddings, by features of a fixed network along principal directions."""
