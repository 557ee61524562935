"""What a configuration will take before it is run: jobs, hours, disk and downloads, from counts and named rates."""
