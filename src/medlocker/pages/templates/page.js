document.querySelectorAll('figure>input[type=range]').forEach(r=>r.addEventListener('input',
()=>r.parentElement.querySelector('.after').style.setProperty('--cut',r.value+'%')));
const unfold=()=>{const found=document.getElementById(location.hash.slice(1));
if(!found)return;for(let d=found;d;d=d.parentElement)if(d.tagName==='DETAILS')d.open=true;found.scrollIntoView();};
addEventListener('hashchange',unfold);unfold();
addEventListener('beforeprint',()=>document.querySelectorAll('details').forEach(d=>{d.open=true;}));
const sortKey=cell=>{const text=cell.textContent.trim(),share=/ of \d+ \((\d+)/.exec(text),first=/^[-+]?[\d.]+/.exec(text.replace('under ',''));
return text==='-'?-Infinity:share?Number(share[1]):first?Number(first[0]):text.toLowerCase();};
const compare=(a,b)=>typeof a===typeof b?(a<b?-1:a>b?1:0):typeof a==='number'?-1:1;
document.querySelectorAll('table[data-list]').forEach(table=>{
const body=table.tBodies[0],head=body.rows[0],rows=Array.from(body.rows).slice(1),kind=table.dataset.list;
if(rows.length<3)return;
const said=document.createElement('output');said.className='note';
Array.from(head.cells).forEach((cell,column)=>{if(!rows[0].cells[column].textContent.trim())return;
const button=document.createElement('button');button.type='button';button.className='sort';button.append(...cell.childNodes);cell.append(button);
button.addEventListener('click',()=>{const up=cell.getAttribute('aria-sort')==='descending';
Array.from(head.cells).forEach(other=>other.removeAttribute('aria-sort'));
cell.setAttribute('aria-sort',up?'ascending':'descending');
rows.sort((a,b)=>(up?1:-1)*compare(sortKey(a.cells[column]),sortKey(b.cells[column])));
body.append(...rows);said.value='sorted by '+button.textContent+(up?', smallest first':', largest first');});});
const label=document.createElement('label'),field=document.createElement('input');field.type='search';
label.className='filter';label.append('Show only '+kind+' with ',field,said);
field.addEventListener('input',()=>{const wanted=field.value.toLowerCase();let shown=0;
rows.forEach(row=>{row.hidden=!row.textContent.toLowerCase().includes(wanted);shown+=row.hidden?0:1;});
said.value=shown+' of '+rows.length+' shown';});
table.parentElement.before(label);});
