// Package powercut is a rig for real power cuts: a workload runs on a real ext4 on a
// loop device whose backing file is served by this process (FUSE), which records every
// write and flush of the device. Images of the disk are then made as a power cut at a
// random moment could have left them, mounted (ext4 replays its journal), recovered and
// checked.
//
//	workload -> ext4 -> loop device -> file served by FUSE -> log: write write flush mark write …
//	                                                            |  cut at a random place
//	check <- recover <- ext4 <- loop device <- image: all before the last flush, and of
//	                                           the rest each write kept, lost or torn
//
// It needs root, /dev/fuse and loop devices, and the build tag "powercut". Where they
// are missing it says so loudly and skips: then nothing has been proven.
package powercut
