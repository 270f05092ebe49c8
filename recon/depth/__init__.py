"""Dense depth from posed photos: multi-view stereo, completion and pruning."""
