"""The store that other stores are measured against: plain loops over what is held in memory."""
