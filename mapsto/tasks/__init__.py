"""Sources of episodes: generators with a known truth, images, texts, robots, and your own data."""

from .arrays import Arrays
from .drawn_characters import DrawnCharacters
from .gaussian_process import GaussianProcesses
from .image_minibatches import ImageMinibatches
from .images import ImageFolder
from .imagined import Imagined
from .linear import Linear
from .logistic import Logistic
from .minibatches import Minibatches
from .mislabelled import Mislabelled
from .omniglot import Omniglot
from .planted import Planted
from .planted_images import PlantedStrokes
from .pupil_log import PupilLog
from .pupils import Pupils
from .robots.demonstration_log import DemonstrationLog
from .robots.demonstrations import Demonstrations
from .robots.environment import Environment
from .robots.gymnasium_environment import Gymnasium
from .robots.meta_world import MetaWorld
from .robots.navigation import Navigation
from .robots.rollouts import Rollouts
from .sinusoids import Sinusoids
from .source import Tasks
from .streams import LinearStream
from .table import Table
from .table_family import TableFamily
from .table_minibatches import TableMinibatches
from .tables import Tables
from .texts import Texts
from .trajectories import Trajectories
from .with_noise import WithNoise
from .xai_tris import XAITris

__all__ = [
    "Arrays",
    "DemonstrationLog",
    "Demonstrations",
    "DrawnCharacters",
    "Environment",
    "GaussianProcesses",
    "Gymnasium",
    "ImageFolder",
    "ImageMinibatches",
    "Imagined",
    "Linear",
    "LinearStream",
    "Logistic",
    "MetaWorld",
    "Minibatches",
    "Mislabelled",
    "Navigation",
    "Omniglot",
    "Planted",
    "PlantedStrokes",
    "PupilLog",
    "Pupils",
    "Rollouts",
    "Sinusoids",
    "Table",
    "TableFamily",
    "TableMinibatches",
    "Tables",
    "Tasks",
    "Texts",
    "Trajectories",
    "WithNoise",
    "XAITris",
]
