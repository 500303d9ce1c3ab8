"""Operations: what a view declares, the parts of a request, and pages of lists."""
