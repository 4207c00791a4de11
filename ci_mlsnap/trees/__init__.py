"""Trees of files, read and written below a folder's descriptor, without ever following a link."""
