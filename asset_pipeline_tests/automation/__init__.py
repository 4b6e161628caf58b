"""Tests of jobs, checks and sensors."""
