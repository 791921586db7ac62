"""Networks as data: what each family's configuration and tensor names say."""
