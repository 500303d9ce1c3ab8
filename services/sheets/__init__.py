"""Contact sheets of layers and posters of networks: Deep Zoom pyramids that workers make and store."""
