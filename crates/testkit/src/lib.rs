//! Synthetic stamped camera, scripted RTSP camera, fixtures, database and process helpers for tests.
