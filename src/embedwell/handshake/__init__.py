"""May this artifact use this store?"""
