package records

// FormatsHelp is the page of help on formats.
const FormatsHelp = `consume -f writes records by a format and produce -f reads them by one. The letters are rpk's
(kgo's), or kcat's. A format that has a letter only rpk has, or a letter with braces, is read
as rpk reads it; any other as kcat does. Where the two differ and letters of both stand in one
format, it is refused.

  rpk      kcat         what it is
  %t       %t           topic
  %T                    length of the topic           (kcat's %T is the timestamp)
  %p       %p           partition
  %o       %o           offset
  %d       %T           timestamp, in ms since 1970
  %k       %k           key
  %K       %K           length of the key             (of null: rpk 0, kcat -1)
  %v       %s           value
  %V       %S           length of the value           (of null: rpk 0, kcat -1)
  %V{big32}  %R         the same in 4 bytes, big endian
  %h{%k=%v,}            each header, by a format of its own with %k %K %v %V
           %h           all headers: name=value,name=value
  %H                    number of headers
  %e                    leader epoch
  %x  %y                producer id and epoch
  %a{compression}       of the batch; also timestamp-type, transactional-bit, control-bit
  %i                    number of the record, from 1
  %[  %|  %]            log start offset, last stable offset, high watermark
  %D  %A                of share groups: times delivered, deadline
  %%  %{  %}            the character itself; {  } need it only behind a letter

  \n \t \r \\ \x41      escapes; in a format of kcat also \101 (octal: \0101) and \c for any c

In braces behind a letter stands how it is written:
  %t %k %v     {hex} {base64} {base64raw} {unpack[<iIqQ...]}
  numbers      {ascii} {hex} {hex64} … {hex4} {big64} … {big8} {little64} … {byte} {bool}
  %d           a number, {strftime[%F %T]} or {go[2006-01-02T15:04:05Z07:00]}, in UTC

Reading takes the same letters but %a %i %[ %| %] %D %A and kcat's %h; what stands between two
letters divides them, a length before its field reads so many bytes, and %H stands before %h{}.
There braces also take {json}, {re[REGEX]} and, for numbers, how many characters: %p{3}. An
empty key or value is empty; with -Z it is null. Formats without a date or value of their own:

  %k %v\n                                      text, one record per line
  %K%k%V%v%H%h{%K%k%V%v}                       lengths before everything; add {big32} to each
  json                                         one object per line, the same as --output json

A record as JSON, as consume --output json writes it and produce --input json reads it:

  {"topic":"t","partition":0,"offset":7,"timestamp":1764075600000,"timestamp_type":"create",
   "key":"k","value":"v","headers":[{"key":"h","value":"v"}],"leader_epoch":0,…}

Bytes that are not UTF-8 stand in base64 in key_base64 or value_base64 instead. Reading needs
none of the fields; partition and timestamp are kept where they are given, and a value that is
JSON but no string is sent as that JSON. To copy a topic byte for byte:

  penstock consume a -o start -e --output json | penstock produce b --input json
`
