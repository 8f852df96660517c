"""Sources of episodes: generators with a known truth, images, and your own data."""

from .arrays import Arrays
from .gaussian_process import GaussianProcesses
from .images import ImageFolder
from .imagined import Imagined
from .linear import Linear
from .logistic import Logistic
from .mislabelled import Mislabelled
from .omniglot import Omniglot
from .planted import Planted
from .planted_images import PlantedStrokes
from .sinusoids import Sinusoids
from .source import Tasks
from .streams import LinearStream
from .table import Table
from .table_family import TableFamily
from .tables import Tables
from .trajectories import Trajectories
from .with_noise import WithNoise
from .xai_tris import XAITris

__all__ = [
    "Arrays",
    "GaussianProcesses",
    "ImageFolder",
    "Imagined",
    "Linear",
    "LinearStream",
    "Logistic",
    "Mislabelled",
    "Omniglot",
    "Planted",
    "PlantedStrokes",
    "Sinusoids",
    "Table",
    "TableFamily",
    "Tables",
    "Tasks",
    "Trajectories",
    "WithNoise",
    "XAITris",
]
