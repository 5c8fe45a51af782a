//! What a proxied request knows of itself: the values of condition keys.
