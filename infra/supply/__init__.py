"""What everything else is made of: programs, images, a Docker Engine, and where they come from."""
