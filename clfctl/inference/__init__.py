"""Answers for single images."""
