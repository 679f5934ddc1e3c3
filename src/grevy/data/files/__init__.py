"""Files of arrays -> numpy arrays and recordings: npy npz mat h5 csv parquet jl."""

from grevy.files.arrays import list_arrays, read_array
from grevy.files.joblib_files import read_joblib
from grevy.files.recordings import read_recording

__all__ = ["list_arrays", "read_array", "read_joblib", "read_recording"]
