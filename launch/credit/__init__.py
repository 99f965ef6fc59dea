"""The diagnosis of credit assignment: agents on a task whose difficulty is turned up one knob at a time."""
