"""What browsers need beside keys: a cookie that stands for one, and protection of writes against forgery."""
