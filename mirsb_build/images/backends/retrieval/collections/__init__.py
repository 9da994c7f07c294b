"""Collections of pictures with captions, as people have them."""
