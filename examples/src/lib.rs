//! Programs that use Parkway; each has a folder of its own beside this one.
