"""What `doctor` and `engines` tell of this machine."""
