"""The OpenAPI document, made of the operations and their models."""
