"""One file a datastore; each is imported only by those who use it, so that an unused driver costs nothing."""
