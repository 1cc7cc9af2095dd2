"""Feedback as data: read a week, clean it, split it, audit it. Frames in, frames out; nothing trains or schedules."""
