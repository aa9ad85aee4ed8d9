// Declarations of glibc's spawn.h that Swift's Glibc module leaves out, because it is built without _GNU_SOURCE.
#pragma once
#include <spawn.h>

// Since glibc 2.34: closes all descriptors from `from` on in the child.
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
// Since glibc 2.29: changes the child's working folder.
extern int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);
