"""Files of arrays -> numpy arrays and recordings: npy npz mat h5 csv parquet jl."""

from grevy.data.files.arrays import list_arrays, read_array
from grevy.data.files.joblib_files import read_joblib
from grevy.data.files.recordings import read_recording

__all__ = ["list_arrays", "read_array", "read_joblib", "read_recording"]
