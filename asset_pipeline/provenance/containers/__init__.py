"""Metadata in and out of files of each format, without decoding or encoding what they show."""
