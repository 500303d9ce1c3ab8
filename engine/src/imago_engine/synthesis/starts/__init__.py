"""Where climbs of codes begin: at the prototypes that excite a unit, and along its direction."""
