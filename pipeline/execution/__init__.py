"""What every job on Ray needs beside its work."""
