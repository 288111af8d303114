"""Sources of data; adding one is a file here and a line in this list."""

from wgfpipe.datasets.csv import CSV
from wgfpipe.datasets.linear import Linear
from wgfpipe.datasets.orthogonal import Orthogonal
from wgfpipe.datasets.random import Random
from wgfpipe.datasets.signs import Signs
from wgfpipe.datasets.sinus import Sinus
from wgfpipe.datasets.student_teacher import StudentTeacher
from wgfpipe.datasets.teacher import Teacher

DATASETS = (Sinus, Signs, Linear, Random, Teacher, Orthogonal, CSV, StudentTeacher)
