"""In which direction of real codes a unit's activation grows: measured, remembered, kept."""
