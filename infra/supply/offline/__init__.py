"""What is built from package registries where no container registry is reached."""
