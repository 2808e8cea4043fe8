# Run at every build: writes the version of the sources as a C string into OUTPUT, and touches the file only when it has
# changed. A tree with changes of its own gets a checksum of them, so that two different ones never look alike. COMMIT,
# if it is given, is taken at its word: for sources without git beside them.
find_package(Git QUIET)
set(commit unknown)
if(COMMIT)
  set(commit ${COMMIT})
elseif(Git_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} rev-parse --short=12 HEAD WORKING_DIRECTORY ${SOURCE}
    OUTPUT_VARIABLE head OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status ERROR_QUIET)
  if(status EQUAL 0)
    execute_process(COMMAND ${GIT_EXECUTABLE} diff HEAD WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE changes)
    set(commit ${head})
    if(changes)
      string(SHA256 checksum "${changes}")
      string(SUBSTRING ${checksum} 0 8 checksum)
      set(commit ${head}-changed-${checksum})
    endif()
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "\"${commit}\"\n")
