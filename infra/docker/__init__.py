"""The images of a deployment and what runs beside the main process in them."""
