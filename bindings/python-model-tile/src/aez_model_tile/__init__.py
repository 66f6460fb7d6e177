"""The weights of the model `tile` of the image codec AEZ."""

from pathlib import Path

PATH: Path = Path(__file__).parent / "tile.safetensors"
"""The model file."""
