"""Views, encoder, head and loss joined into trainable modules, one file per objective."""
