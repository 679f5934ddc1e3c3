"""Objects of pynapple, xarray and pandas, which bring times and names along, as recordings."""
