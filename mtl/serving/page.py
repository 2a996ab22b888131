"""The page of a server, on which people try its model."""
from mtl.serving.served_model import ServedModel
def page(model: ServedModel) -> str:
    return "<!doctype html>"
